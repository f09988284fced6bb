"""The mathematics of mixing: what is drawn for a batch, how rows are blended, how blended targets are scored."""
