"""Secrets and e-mail addresses are hidden; settings are not."""

from __future__ import annotations

import copy

import pytest

from foam_viz.logs.core.mask import MASKED, masked


@pytest.mark.parametrize(
    "key",
    ["password", "wandb_api_key", "WANDB_API_KEY", "apiKey", "hf_token", "token", "auth_token", "HF-TOKEN", "secret",
     "aws_secret_access_key", "Authorization", "credentials", "private_key", "client_secret", "db.password"],
)  # fmt: skip
def test_text_under_a_key_of_a_secret(key: str) -> None:
    value, notes = masked({"outer": {key: "hunter2-hunter2", "lr": 0.1}})
    assert value == {"outer": {key: MASKED, "lr": 0.1}}
    assert notes == [f"what looks like a secret is masked in outer.{key}"]


@pytest.mark.parametrize(
    "text",
    ["AKIAIOSFODNN7EXAMPLE", "hf_abcdefghijklmnopqrstuvwxyzABCDEF", "sk-proj-abcdefghij0123456789",
     "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "github_pat_11ABCDEFG0abcdefghijklmn", "glpat-abcdefghij0123456789",
     "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF-123_x", "xoxb-1234567890-abcdefghij"],
)  # fmt: skip
def test_shapes_of_secrets_anywhere(text: str) -> None:
    value, notes = masked({"args": ["--key", text, f"run {text} now"]})
    assert value == {"args": ["--key", MASKED, f"run {MASKED} now"]}
    assert notes == ["what looks like a secret is masked in args"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgres://me:pass@host/db", f"postgres://{MASKED}@host/db"),
        ("https://x.org/?a=1&api_key=abc123&b=2", f"https://x.org/?a=1&api_key={MASKED}&b=2"),
        ("train.py --wandb-api-key 0123456789abcdef --lr 1", f"train.py --wandb-api-key {MASKED} --lr 1"),
        ("export HF_TOKEN=abcdefgh", f"export HF_TOKEN={MASKED}"),
        ("ask a.person+x@lab.example.org soon", f"ask {MASKED} soon"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", MASKED),
    ],
)
def test_secrets_inside_of_text(text: str, hidden: str) -> None:
    value, notes = masked({"note": text})
    assert value == {"note": hidden}
    assert len(notes) == 1


HARMLESS = {
    "lr": 1e-3,
    "learning_rate": "3e-4",
    "tokens": 524288,
    "num_tokens": "1000000",
    "tokens_per_batch": 1,
    "token": 5,
    "max_tokens": "512",
    "tokenizer": "gpt2",
    "tokenizer_name": "some/tokenizer",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "token_embedding": "learned",
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "run_id": "27fe5e6452644b96a1ed0f0cac8a88ae",
    "keyboard": "us",
    "key": "train/loss",
    "monkey_patch": "yes",
    "password_required": True,
    "secret": None,
    "author": "A. Person",
    "path": "/data/fineweb@v2/train_000.bin",
    "url": "https://example.org:8080/x",
    "decorator": "@torch.compile",
    "betas": [0.9, 0.95],
    "note": "the loss of a token grows with its position",
    "command": "train.py --eos-token <|endoftext|> --optimizer=shampoo",
}


def test_settings_stay() -> None:
    before = copy.deepcopy(HARMLESS)
    value, notes = masked(HARMLESS)
    assert value == before
    assert notes == []


def test_the_original_is_untouched_and_masking_twice_says_nothing() -> None:
    config = {"a": {"token": "abcdefgh"}, "who": ("me@example.org",)}
    value, notes = masked(config)
    assert config["a"]["token"] == "abcdefgh"
    assert value == {"a": {"token": MASKED}, "who": (MASKED,)}
    assert len(notes) == 2
    assert masked(value) == (value, [])


def test_keys_of_40_hex_digits_under_a_key() -> None:
    digits = "0123456789abcdef0123456789abcdef01234567"
    assert masked({"WANDB_KEY": digits})[0] == {"WANDB_KEY": MASKED}
    assert masked({"key": digits})[0] == {"key": MASKED}


def test_everything_below_a_secret_key_is_hidden_and_depth_is_survived() -> None:
    assert masked({"secrets": {"first": "abc", "n": 3}})[0] == {"secrets": {"first": MASKED, "n": 3}}
    deep: object = "x"
    for _ in range(500):
        deep = [deep]
        deep = {"k": deep}
    masked(deep)
    masked("a" * 1_000_000 + "@" * 1000)
