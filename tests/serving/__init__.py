"""What language models cost to serve and to train, compared with published figures."""
