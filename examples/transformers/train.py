"""A small language model, by the Trainer of Transformers, on text that comes with Python. Kill it, and start it again.

python train.py STORE          # or: outlast run --time 20s --store STORE -- python train.py
"""

import os
import sys
from pydoc_data.topics import topics

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from outlast.integrations.transformers import TrainerRun

LENGTH = 32


class Text(Dataset):
    """Pieces of a text, each from a place that is drawn anew every time."""

    def __init__(self, text: str) -> None:
        self.codes = torch.tensor(list(text.encode("ascii", "replace")))

    def __len__(self) -> int:
        return (len(self.codes) - 1) // LENGTH - 1

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        start = index * LENGTH + int(torch.randint(LENGTH, ()))
        piece = self.codes[start : start + LENGTH]
        return {"input_ids": piece, "labels": piece}


def trainer(workers: int = 0, epochs: int = 3, letters: int = 6000) -> Trainer:
    """Return a Trainer with its model and data."""
    set_seed(7)
    text = "\n".join(topics[name] for name in sorted(topics))
    config = GPT2Config(
        vocab_size=128, n_positions=LENGTH, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    arguments = TrainingArguments(
        output_dir=os.path.join(os.environ.get("TMPDIR", "/tmp"), "trainer"),
        num_train_epochs=epochs,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        learning_rate=3e-3,
        warmup_steps=4,
        dataloader_num_workers=workers,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=5,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    return Trainer(
        GPT2LMHeadModel(config),
        arguments,
        train_dataset=Text(text[:letters]),
        eval_dataset=Text(text[letters : letters + 1000]),
    )


def main(store: str) -> None:
    """Train, and say how it came out."""
    training = trainer()
    with TrainerRun(training, store):
        training.train()
        print(training.evaluate())


if __name__ == "__main__":
    main(os.environ.get("OUTLAST_STORE") or sys.argv[1])
