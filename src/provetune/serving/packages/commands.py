"""Ready commands for a package, and the files that other servers and clouds want beside the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from provetune.errors import ModelError
from provetune.records.data import Message
from provetune.records.package import Package
from provetune.records.release import Release

Render = Callable[[Sequence[Message], bool], str]
"""Messages and whether the assistant's turn is open, to text."""


def files_beside(release: Release, package: Package, render: Render) -> Mapping[str, str]:
    """By form: `Modelfile` for Ollama, SageMaker's `serving.properties`, a Dockerfile and the upload command for Vertex."""
    if package.form == "gguf":
        return {"Modelfile": modelfile(release, package, render)}
    if package.form == "adapter":
        return {}
    return {
        "serving.properties": _sagemaker(package),
        "deploy/vertex/Dockerfile": _VERTEX_IMAGE.format(name=release.name, dtype=package.dtype),
        "deploy/vertex/upload.txt": _VERTEX_UPLOAD.format(name=release.name),
    }


def commands(release: Release, package: Package, folder: Path) -> str:
    """The section "How to run it" of the README, in Markdown."""
    return {"adapter": _adapter, "merged": _merged, "gguf": _gguf}[package.form](release, package, folder)


def _adapter(release: Release, package: Package, folder: Path) -> str:
    base = release.candidate.model.name if release.candidate.model is not None else "BASE"
    rank = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("r", 16)
    known = "" if "/" in base else f"\n`{base}` is no name of the hub: give the folder of the base model in its place.\n"
    return f"""{known}
```bash
vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules {release.name}=. \\
  --chat-template chat_template.jinja --generation-config . --dtype {package.dtype}
```

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("{base}", dtype="{package.dtype}")
model = PeftModel.from_pretrained(base, ".")
tokenizer = AutoTokenizer.from_pretrained(".")
```
"""


def _merged(release: Release, package: Package, folder: Path) -> str:
    return f"""
```bash
vllm serve . --served-model-name {release.name} --generation-config . --dtype {package.dtype}
```

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
messages = [{{"role": "user", "content": "..."}}]
ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**ids)[0][ids["input_ids"].shape[1] :], skip_special_tokens=True))
```

SageMaker (the large-model container reads `serving.properties`; not run by us):

```bash
tar --sort=name --owner=0 --group=0 --mtime=@0 -czf model.tar.gz --exclude deploy --exclude model.tar.gz .
```

Vertex AI (a container of your own that answers `/v1/chat/completions`; not run by us): `deploy/vertex/Dockerfile` builds it from this
folder, `deploy/vertex/upload.txt` holds the command that uploads it.
"""


def _gguf(release: Release, package: Package, folder: Path) -> str:
    return f"""
```bash
ollama create {release.name} -f Modelfile
llama-server -m {release.name}.gguf --jinja --alias {release.name}
```
"""


def modelfile(release: Release, package: Package, render: Render) -> str:
    """Ollama's Modelfile; where the chat template cannot be written in its language, it says so and leaves it to the GGUF file's own."""
    template = go_template(render)
    stops = stop_texts(render)
    told = (
        f'TEMPLATE """{template}"""'
        if template is not None
        else "# The chat template cannot be written here; Ollama reads the one in the file."
    )
    settings = ["temperature 0", f"num_predict {release.generation.max_new_tokens}", *(f"stop {json.dumps(text)}" for text in stops)]
    return "\n".join([f"FROM ./{release.name}.gguf", told, *(f"PARAMETER {setting}" for setting in settings), ""])


def stop_texts(render: Render) -> list[str]:
    """What stands after an assistant's turn."""
    before, asked = render([_turn("user", "Q")], True), [_turn("user", "Q"), _turn("assistant", "ANSWER")]
    ending = render(asked, False)[len(before) :].partition("ANSWER")[2].strip()
    return [ending] if ending else []


def go_template(render: Render) -> str | None:
    """The chat template in Ollama's language (Go templates), read off probes; None where turns are not simply put one after the other.

    >>> words = lambda turns, opened: "".join(f"<{m.role}>{m.content}</>" for m in turns) + ("<assistant>" if opened else "")
    >>> go_template(words)[:77]
    '{{- range .Messages }}{{- if eq .Role "system" }}<system>{{ .Content }}</>{{-'
    """
    system, user, reply = _turn("system", "SYS"), _turn("user", "USE"), _turn("assistant", "REP")
    try:
        alone, opened, answered = render([user], False), render([user], True), render([user, reply], False)
        twice, told = render([user, reply, user], False), render([system, user], False)
        whole = render([system, user, reply, user], True)
    except (ModelError, ValueError):  # it refuses one of these conversations: nothing can be read off it
        return None
    asked = twice.removeprefix(answered)
    begin = alone.removesuffix(asked)
    pieces = {"system": told.removeprefix(begin).removesuffix(asked), "user": asked, "assistant": answered.removeprefix(alone)}
    open_turn = opened.removeprefix(alone)
    if begin + pieces["system"] + pieces["user"] + pieces["assistant"] + pieces["user"] + open_turn != whole:
        return None
    if any(text.count(word) != 1 for text, word in zip(pieces.values(), ("SYS", "USE", "REP"), strict=True)) or '"""' in whole:
        return None
    ways = [
        f'{{{{- {"if" if number == 0 else "else if"} eq .Role "{role}" }}}}' + text.replace(word, "{{ .Content }}")
        for number, ((role, text), word) in enumerate(zip(pieces.items(), ("SYS", "USE", "REP"), strict=True))
    ]
    return begin + "{{- range .Messages }}" + "".join(ways) + "{{- end }}{{- end }}" + open_turn


def _turn(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


def _sagemaker(package: Package) -> str:
    lines = ("engine=Python", "option.model_id=/opt/ml/model", "option.rolling_batch=vllm", f"option.dtype={package.dtype}")
    return "\n".join((*lines, "option.trust_remote_code=false", ""))


_VERTEX_IMAGE = """FROM vllm/vllm-openai:latest
COPY . /model
ENTRYPOINT ["vllm", "serve", "/model", "--served-model-name", "{name}", "--generation-config", "/model"]
CMD ["--dtype", "{dtype}", "--port", "8080"]
"""
_VERTEX_UPLOAD = """docker build -f deploy/vertex/Dockerfile -t REGION-docker.pkg.dev/PROJECT/REPOSITORY/{name} .
docker push REGION-docker.pkg.dev/PROJECT/REPOSITORY/{name}
gcloud ai models upload --region=REGION --display-name={name} \\
  --container-image-uri=REGION-docker.pkg.dev/PROJECT/REPOSITORY/{name} \\
  --container-predict-route=/v1/chat/completions --container-health-route=/health --container-ports=8080
"""
