"""The mathematics of mixing: draw λ and partners, blend rows, score blended targets."""
