"""The embedding of the empty prompt, computed once and kept with the checkpoint."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.networks.schema import HubSource


class NullPrompt(ModelMixin, ConfigMixin):
    """A constant (1, tokens, width) that takes the place of a text encoder.

    Args:
        tokens: sequence length; 77 for CLIP.
        width: cross_attention_dim of the backbone.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        # A parameter, since save_pretrained keeps these; nothing ever trains it.
        self.embedding = nn.Parameter(torch.zeros(1, tokens, width), requires_grad=False)


def null_prompt_from(embedding: Tensor) -> NullPrompt:
    """Wraps an embedding (1, tokens, width)."""
    prompt = NullPrompt(tokens=embedding.shape[1], width=embedding.shape[2])
    prompt.embedding.data.copy_(embedding)
    return prompt


@torch.no_grad()
def clip_null_prompt(source: HubSource) -> NullPrompt:
    """CLIP's embedding of "" with the text encoder beside a hub backbone.

    Raises:
        UserError: transformers is not installed, or the text encoder cannot be had.
    """
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError:
        raise UserError(
            "a hub backbone needs its text encoder once: pip install 'semflow[hub]'"
        ) from None
    options = {"revision": source.revision}
    try:
        tokenizer = CLIPTokenizer.from_pretrained(source.repo_id, subfolder="tokenizer", **options)
        encoder = CLIPTextModel.from_pretrained(
            source.repo_id, subfolder="text_encoder", use_safetensors=True, **options
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot load the text encoder of {source.repo_id} ({reason})") from None
    tokens = tokenizer("", padding="max_length", return_tensors="pt")
    return null_prompt_from(encoder(tokens.input_ids)[0])
