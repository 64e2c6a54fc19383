"""InteractiveCOT: DPO on the thoughts before two actions in one state, of which the environment rewarded one more.

Source: "InteractiveCOT", OpenReview Y4iaDU4yMi, and its successor TCPO, arXiv:2509.08500; the offline part.
Differs from the paper: TCPO's further term for consistency of thought and action is left out, as its form could not be
verified; there is no code, so rate, epochs and batch size are ours.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage
from boresight.training.token_weights import PartsOfType

MEMBER = Method(
    objective=preferred(),
    token_weights=PartsOfType(type="thinking"),
    stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=32, lora=Lora(rank=128, alpha=256.0)),),
    data=Data(
        construction="rewarded_steps",
        texts={"chosen": "thought and action with more reward", "rejected": "thought and action with less"},
    ),
)
