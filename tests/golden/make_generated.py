#!/usr/bin/env python3
"""make_generated.py [CASE ...]

What transformers says greedily behind a few tokens, of the language models in tests/golden/models, into generated.json:
64 tokens in fp64, by `generate`, or where a class has none (Qwen2-VL's text model) by whole forwards. Prompts are such
that the two largest logits are never nearer than GAP. With rotary embeddings that change with the length `generate`
keeps no cache: with one, it keeps keys that were turned by the frequencies of shorter texts."""

import json
import sys
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2_5_VLTextModel, Qwen2VLTextModel

ROOT = Path(__file__).resolve().parent
TOKENS, GAP = 64, 1e-3
TEXT_PARTS = {"qwen2_vl_text": Qwen2VLTextModel, "qwen2_5_vl_text": Qwen2_5_VLTextModel}


class Whole:
    """A text model with its head, asked by whole forwards."""

    def __init__(self, folder, kind):
        self.config = AutoConfig.from_pretrained(folder)
        self.model = TEXT_PARTS[kind].from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
        weights = {k: v for file in folder.glob("model*.safetensors") for k, v in load_file(file).items()}
        head = next((v for k, v in weights.items() if k.endswith("lm_head.weight")), None)
        self.head = (self.model.embed_tokens.weight if head is None else head).double()

    def logits(self, ids):
        positions = torch.arange(ids.shape[1]).expand(3, 1, -1)
        hidden = self.model(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state
        return hidden[:, -1] @ self.head.T

    def answer(self, ids):
        gaps = []
        for _ in range(TOKENS):
            logits = self.logits(ids)
            top = logits.topk(2).values[0]
            gaps.append((top[0] - top[1]).item())
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], 1)
        return ids[0, -TOKENS:].tolist(), min(gaps)


class Generated:
    def __init__(self, folder):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
        self.config = self.model.config
        rope = json.dumps(self.config.to_dict().get("rope_parameters"))
        self.by_length = "dynamic" in rope or "longrope" in rope

    def answer(self, ids):
        out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS,
                                  eos_token_id=None, pad_token_id=0, use_cache=not self.by_length,
                                  return_dict_in_generate=True, output_logits=True)
        top = torch.cat(out.logits).topk(2).values
        return out.sequences[0, -TOKENS:].tolist(), (top[:, 0] - top[:, 1]).min().item()


def make(case):
    folder = ROOT / "models" / case
    kind = json.loads((folder / "config.json").read_text()).get("model_type")
    seed = zlib.crc32(case.encode())
    for attempt in range(100):
        # A new one each time: its rotary embedding stays with the frequencies of the longest text.
        model = Whole(folder, kind) if kind in TEXT_PARTS else Generated(folder)
        torch.manual_seed(seed + attempt)
        prompt = torch.randint(0, model.config.vocab_size, (1, 7))
        with torch.no_grad():
            ids, gap = model.answer(prompt)
        if gap > GAP:
            return {"prompt": prompt[0].tolist(), "ids": ids, "gap": round(gap, 5)}
    sys.exit(f"{case}: no prompt has logits that are clearly apart")


def is_llm(folder):
    return json.loads((folder / "config.json").read_text()).get("vocab_size") and not folder.name.startswith("whisper")


if __name__ == "__main__":
    torch.set_num_threads(1)
    file = ROOT / "generated.json"
    out = json.loads(file.read_text()) if file.exists() else {}
    cases = sys.argv[1:] or sorted(f.name for f in (ROOT / "models").iterdir() if is_llm(f))
    for case in cases:
        out[case] = make(case)
        print(case, out[case]["gap"], flush=True)
    rows = [f" {json.dumps(case)}: {json.dumps(out[case])}" for case in sorted(out)]
    file.write_text("{\n" + ",\n".join(rows) + "\n}\n")
