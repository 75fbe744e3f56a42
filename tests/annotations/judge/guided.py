"""A judge's endpoint on loopback with a real local model behind it that keeps to a JSON schema.

`python -m tests.annotations.judge.guided FOLDER PORT` serves the weights in FOLDER. Keys, quotes
and commas are given; the model writes the texts, and of the values that the schema allows it takes
the one it finds most likely. So a model too small to write JSON can be asked for its judgement.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONGEST_TEXT = 40
"""Tokens of a text value."""


class Guided:
    """The model. One request at a time."""

    def __init__(self, folder):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.lock = threading.Lock()

    def answer(self, messages, schema):
        """The answer as text, and how many tokens were read and written."""
        with self.lock, self.torch.inference_mode():
            prompt = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            written = _Written(self, self._ids(prompt))
            for place, (key, form) in enumerate(schema["properties"].items()):
                written.feed(("{" if place == 0 else ", ") + json.dumps(key) + ": ")
                if values := _allowed(form):
                    written.choose(values)
                else:
                    written.write_text()
            written.feed("}")
            return written.text, written.read, written.length

    def _ids(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


class _Written:
    """An answer that is being written."""

    def __init__(self, home, prompt):
        self.home, self.cache, self.text = home, None, ""
        self.read, self.length = len(prompt), 0
        self._step(prompt)

    def _step(self, ids):
        torch = self.home.torch
        out = self.home.model(
            torch.tensor([ids]), past_key_values=self.cache, use_cache=True, logits_to_keep=1
        )
        self.cache, self.logits = out.past_key_values, out.logits[0, -1]

    def feed(self, text):
        """Write what is given."""
        ids = self.home._ids(text)
        self.text += text
        self.length += len(ids)
        self._step(ids)

    def choose(self, values):
        """Write the most likely of some values, told apart by their first tokens."""
        spelt = {self.home._ids(json.dumps(value))[0]: value for value in values}
        if len(spelt) < len(values):  # all are texts: they differ after the quotation mark
            self.feed('"')
            spelt = {self.home._ids(value)[0]: value for value in values}
            assert len(spelt) == len(values)
            self.feed(spelt[max(spelt, key=lambda token: float(self.logits[token]))] + '"')
            return
        self.feed(json.dumps(spelt[max(spelt, key=lambda token: float(self.logits[token]))]))

    def write_text(self):
        """A text of the model's own, up to a quotation mark or a line's end."""
        self.feed('"')
        special = set(self.home.tokenizer.all_special_ids)
        for _ in range(LONGEST_TEXT):
            token = int(self.logits.argmax())
            piece = self.home.tokenizer.decode([token])
            if token in special or any(sign in piece for sign in '"\\\n\ufffd'):
                break
            self.text += piece
            self.length += 1
            self._step([token])
        self.feed('"')


def _allowed(form):
    """The values a schema allows; none where it is any text."""
    parts = form.get("anyOf", [form])
    return [value for part in parts for value in part.get("enum", ())]


class _Handler(BaseHTTPRequestHandler):
    guided: Guided

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        schema = body["response_format"]["json_schema"]["schema"]
        text, read, written = self.guided.answer(body["messages"], schema)
        usage = {"prompt_tokens": read, "completion_tokens": written}
        message = {"role": "assistant", "content": text}
        whole = {
            "id": "guided",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage | {"total_tokens": read + written},
        }
        raw = json.dumps(whole).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        """Quiet."""


def server(folder, port=0):
    """A server on loopback that is not running yet."""
    handler = type("Handler", (_Handler,), {"guided": Guided(folder)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    with server(sys.argv[1], int(sys.argv[2])) as running:
        print(f"http://127.0.0.1:{running.server_port}/v1", flush=True)
        running.serve_forever()
