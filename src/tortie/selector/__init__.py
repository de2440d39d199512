"""The selector language: tokens, parser, canonical text, evaluation, label restrictions."""
