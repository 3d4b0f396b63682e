"""Names of columns that some step from rows to an HTML page may mistake for something else."""

OF_OURS = [
    "label", "weight", "raw", "wide", "deep", "model", "row", "file", "allow_pickle", "u_x_i", "group x item", "items",
    "k", "exclude", "titles", "known",
]  # fmt: skip
OF_TENSORFLOW = [
    "examples", "examples_input", "inputs", "input", "outputs", "classes", "scores", "probability", "logit",
    "features", "labels", "predictions", "example_weights", "transformed_features", "name", "training", "self",
    "kwargs", "column_0", "x$values", "x$dense_tensor", "##SEQUENCE##x", "a.npy", "a", "instances", "prediction",
]  # fmt: skip
OF_PYTHON = ["class", "lambda", "None", "True", "prototype", "constructor", "nan"]
MARKS = [
    "a.b", "a/b", "a:0", "^a", "it's", 'say "hi"', "a\\", "C:\\n", "a,b", "a = b", "a|b", "a;b", "*", "?", "[", "()",
    "50%", "%s", "%(x)s", "{}", "{0}", "{x}", "{{x}}", "{{workflow.name}}", "${HOME}", "$(id)", "`id`", "a$ or b$",
    "--help", "-a", "=1+1", "@SUM(A1)", "\\1", "&amp;", "$x^{$",
]  # fmt: skip
MARKUP = [
    "<blink>x</blink>",
    "<script>alert(1)</script>",
    "</script>",
    "<!--",
    "[bold]red[/bold]",
    "[/]",
    "**x**",
    "[a](b)",
]
YAML = [
    "2019",
    "1.5",
    "1e3",
    "0x10",
    "true",
    "null",
    "~",
    "yes",
    "- a",
    "? a",
    "a: b",
    "# a",
    "&a",
    "*a",
    "!a",
    "[key]",
]
WORDS = [
    "Price", "price", "PRICE", "größe", "e\u0301", "\u00e9", "\u0130", "ß", "价格", "السعر", "😀", "\U0001f469\u200d😀",
    "\u202eabc", "\u200b", "\ufeffa", "a\u241fb", " a", "a ", "a  b", " ", "\u00a0", "x" * 300, "é" * 3000,
]  # fmt: skip

FIT = [*OF_OURS, *OF_TENSORFLOW, *OF_PYTHON, *MARKS, *MARKUP, *YAML, *WORDS]
UNFIT = ["a\nb", "a\r\nb", "\ta", "a\x00", "a\x1fb", "\x1b[31mred", "a\x85b", "a\u2028b", "a\u2029b", "a\ud800", "\x7f"]
