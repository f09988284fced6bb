"""What a trained model and its mixing look like."""
