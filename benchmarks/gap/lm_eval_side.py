"""lm-eval's side of the comparison: runs a local task with answers that are given, inside a venv that has lm_eval.

python lm_eval_side.py FOLDER TASK ANSWERS.json RESULT.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager


class Oracle(LM):
    """Answers question k with the k-th of the given answers, cut at the stops that the task asks for."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__()
        self.answers, self.prompts = answers, {}

    def generate_until(self, requests, disable_tqdm=False):
        found = []
        for request in requests:
            prompt, settings = request.args
            self.prompts[request.doc_id] = prompt
            text = self.answers[request.doc_id]
            for stop in settings["until"]:
                text = text.split(stop)[0]
            found.append(text)
        return found

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError("an oracle writes")

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError("an oracle writes")


def main() -> None:
    """Run the task and write down scores, standard errors and prompts."""
    folder, task, answers, result = sys.argv[1:]
    oracle = Oracle(json.loads(Path(answers).read_text()))
    manager = TaskManager(include_path=folder, include_defaults=False)
    found = simple_evaluate(oracle, tasks=[task], task_manager=manager)
    scores = {key: value for key, value in found["results"][task].items() if key.startswith("exact_match")}
    prompts = [oracle.prompts[row] for row in sorted(oracle.prompts)]
    Path(result).write_text(json.dumps({"scores": scores, "prompts": prompts}))


if __name__ == "__main__":
    main()
