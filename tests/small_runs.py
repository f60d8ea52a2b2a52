"""Words that make ``laya train digits`` quick."""

SMALL = ["--epochs", "2", "--batch-size", "64", "--backbone.widths", "16", "12", "--head.dim", "8"]
QUICK = [*SMALL, "--devices", "1", "--baseline", "None"]
