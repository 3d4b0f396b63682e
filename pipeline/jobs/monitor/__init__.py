"""`rankline monitor`: whether what is served is like what the model was trained and judged on."""
