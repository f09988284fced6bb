"""What mixing does to real texts: plans drawn as training draws them, laid out, printed."""
