"""What one account, role or stranger must not be able to do, each tried as an attacker would."""
