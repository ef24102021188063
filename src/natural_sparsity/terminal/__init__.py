"""What Snakemake shows while it runs: a line per job, bars, and at the end where to look."""
