"""The mission pipeline's stages."""
