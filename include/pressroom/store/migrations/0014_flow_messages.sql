-- It holds a flow's slug and the message's id, and no signature.
ALTER TABLE webhook_calls RENAME COLUMN signature TO flow_message;
