"""Training: corpus, encoding, recipes, one loop for LoRA and full fine-tuning, evaluation."""
