"""The mathematics of mixing: what is drawn, how rows are blended, how blended targets are scored."""
