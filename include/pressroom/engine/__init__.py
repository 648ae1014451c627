"""What stages share: run_batch, the AI engine, the ledger, run control."""
