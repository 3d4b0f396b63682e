"""`rankline monitor`: compares what is served with what the model was trained and judged on."""
