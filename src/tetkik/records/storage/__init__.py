"""Where sealed files lie: a folder of this machine, or a bucket that speaks S3."""
