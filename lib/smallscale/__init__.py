"""smallscale: foundation-model research on a laptop, built to be scaled up."""
