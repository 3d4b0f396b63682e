"""Generates a bookshop's log: the books that it showed to readers, and which of them they clicked."""

import csv
import datetime
import random
from pathlib import Path

random.seed(1)
tags = ["comics", "crime", "poetry", "science", "travel"]
books = [(f"b{n}", random.sample(tags, 2), random.randint(5, 40)) for n in range(200)]
readers = [(f"r{n}", random.choice(["phone", "laptop"]), random.choice(tags)) for n in range(40)]
time = datetime.datetime(2026, 1, 1)

with Path(__file__).with_name("clicks.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["shown_at", "reader_id", "device", "book_id", "title", "tags", "price", "clicked"])
    for _ in range(10000):
        time += datetime.timedelta(minutes=random.randint(1, 30))
        (reader, device, taste), (book, about, price) = random.choice(readers), random.choice(books)
        clicked = random.random() < 0.1 + 0.7 * (taste in about) + 0.2 * (price < 15)
        title = f"Of {about[0]} and {about[1]}, vol. {book[1:]}"
        rows.writerow([time, reader, device, book, title, "|".join(about), price, int(clicked)])
