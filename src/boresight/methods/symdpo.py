"""SymDPO: examples in the prompt answer with meaningless symbols, so that only their pictures tell which one is right.

Source: Jia et al. 2024, arXiv:2411.11909; APiaoG/SymDPO@31b672a, open_flamingo/train/train_dpo.py:77.
Differs from the authors' code: the likelihood, which the script weights 1, is a mean over the tokens of the step, in
the script over those of each pair, as its micro-batches hold one. The script names this adapter but leaves it switched
off, which trains what OpenFlamingo leaves free.
"""

from boresight.methods._pieces import CHOSEN, preferred
from boresight.models.loading import Lora
from boresight.objectives import nll
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred() + nll(CHOSEN),
    stages=(
        Stage(
            name="dpo",
            learning_rate=5e-6,
            epochs=1,
            batch_items=8,
            schedule="linear",
            warmup=0.01,
            weight_decay=0.1,
            lora=Lora(rank=64, alpha=16.0, dropout=0.05),
        ),
    ),
    data=Data(
        modality=("images",),
        construction="symbol_demonstrations",
        texts={"chosen": "the symbol that the pictures support", "rejected": "the word itself, or another symbol"},
    ),
)
