"""Lines of `src` broken one at a time, as a real bug would break them, each with the tests that must notice.

`break_lines.py` applies them. A break whose line is gone is replaced by one of the line that came instead.
"""

# ruff: noqa: E501  # one break a line

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """`old` stands once in `file` (below src/provetune) and becomes `new`; `tests` (below tests) run beside the doctests of the file."""

    file: str
    old: str
    new: str
    tests: str


# fmt: off
BREAKS = (
    Break("stats/proportion.py", "(share + z * z / (2 * n))", "(share + z * z / n)", "unit/stats/test_proportion.py"),
    Break("stats/binary.py", "p, q = (wins + 1) / (n + 2), (losses + 1) / (n + 2)", "p, q = wins / n, losses / n", "unit/stats/test_binary.py"),
    Break("stats/multiple.py", "p * np.arange(len(p), 0, -1)", "p * np.arange(1, len(p) + 1)", "unit/stats/test_multiple.py"),
    Break("stats/difference.py", "wins=self.losses, losses=self.wins", "wins=self.wins, losses=self.losses", "unit/stats/test_difference.py"),
    Break("stats/power.py", "z = _z(confidence)", "z = _two_sided(confidence)", "unit/stats/test_power.py"),
    Break("stats/folds.py", "stdtrit(count - 1,", "stdtrit(count,", "unit/stats/test_folds.py"),
    Break("stats/seeds.py", "/ ((seeds - 1) * (count - 1))", "/ (seeds * count)", "unit/stats/test_seeds.py"),
    Break("stats/ratio.py", " * count / (count - 1))", ")", "unit/stats/test_ratio.py"),
    Break("stats/quantile.py", "int(binom.ppf(1 - tail, n, share)) + 1", "int(binom.ppf(1 - tail, n, share))", "unit/stats/test_quantile.py"),
    Break("stats/agreement.py", "(totals.sum(axis=1) - 1) / expected", "totals.sum(axis=1) / expected", "unit/stats/test_agreement.py"),
    Break("hashing.py", "sort_keys=True, ", "", "unit/test_hashing.py"),
    Break("records/base.py", "in range(int(version), int(current))", "in range(int(version) + 1, int(current))", "unit/test_records.py"),
    Break("records/candidate.py", '{"zero-shot", "few-shot"} <= set(parts)', '{"zero-shot", "few-shot"} == set(parts)', "unit/test_records.py unit/prompting/test_strategies.py"),
    Break("store.py", "number = 1 + sum(", "number = sum(", "unit/test_store.py"),
    Break("store.py", "earlier[: same[0]] if same else earlier", "earlier", "unit/test_store.py"),
    Break("store.py", "        if not same:\n", "        if same:\n", "unit/test_store.py"),
    Break("store.py", ' for m in example.messages if m.role != "system"]', " for m in example.messages]", "unit/test_store.py"),
    Break("spec/model.py", "margin: float = Field(default=0.02,", "margin: float = Field(default=0.0,", "unit/test_spec.py"),
    Break("spec/model.py", "not 5 <= value <= 20", "not 2 <= value <= 20", "unit/test_spec.py"),
    Break("spec/text.py", "if not equals or not all(keys)", "if not equals", "unit/test_spec.py"),
    Break("chat.py", "message.weight == 1)]", "True)]", "unit/test_chat.py"),
    Break("chat.py", "max((i + 1 for i, token", "max((i for i, token", "unit/test_chat.py"),
    Break("chat.py", "self.labelled[1:].sum()", "self.labelled.sum()", "unit/test_chat.py unit/engine/test_loss.py"),
    Break("chat.py", "parts[-1].strip(", "parts[1].strip(", "unit/test_chat.py unit/prompting/test_strategies.py"),
    Break("formats/delimited.py", "names = [name.strip() for name in header]", "names = list(header)", "unit/formats/test_csv_reader.py"),
    Break("formats/row.py", "return text if text and text.strip() else None", "return text or None", "unit/formats/test_csv_reader.py unit/formats/test_jsonl_reader.py unit/test_load.py"),
    Break("formats/text.py", 'before.count("\\r\\n") + 1', 'before.count("\\r\\n")', "unit/formats/test_read_text.py"),
    Break("formats/text.py", 'path.open(encoding="utf-8-sig", newline="")', 'path.open(encoding="utf-8", newline="")', "unit/formats/test_read_text.py unit/formats/test_csv_reader.py"),
    Break("engine/packing.py", "first = int(labels[0]) + 1", "first = int(labels[0]) + 2", "unit/engine/test_packing.py"),
    Break("engine/packing.py", "needed = own if waiting else own + group.prefix", "needed = own", "unit/engine/test_packing.py"),
    Break("engine/packing.py", "default_rng([seed, epoch])", "default_rng([seed])", "unit/engine/test_packing.py unit/tuning/test_loop.py"),
    Break("engine/loss.py", "1 - (z.float() / head.cap) ** 2", "1 - z.float() / head.cap", "unit/engine/test_loss.py"),
    Break("engine/loss.py", "return loss / work.divisor", "return loss", "unit/engine/test_loss.py"),
    Break("engine/sampling.py", ".sub_(likeliest)", "", "unit/engine/test_sampling.py"),
    Break("models/scale.py", 'value * factor if ".lora_B." in name', 'value * factor if ".lora_" in name', "unit/models/test_scale.py"),
    Break("models/responses.py", " for key, completion in fresh.items() if completion.text is not None", " for key, completion in fresh.items()", "unit/models/test_responses.py"),
    Break("models/endpoint_limits.py", "60 / tokens_per_minute", "1 / tokens_per_minute", "unit/models/test_endpoint_limits.py"),
    Break("models/linear.py", ' for m in messages if m.role != "system"', " for m in messages", "unit/models/test_generators.py"),
    Break("metrics/classification.py", "np.maximum((support + claimed > 0)", "np.maximum((support > 0)", "unit/metrics/test_classification.py"),
    Break("metrics/classification.py", 'text.rstrip(".").strip().casefold()', "text.casefold()", "unit/metrics/test_classification.py"),
    Break("metrics/calibration.py", "0, bins - 1)", "0, bins)", "unit/metrics/test_probabilities.py"),
    Break("metrics/fields.py", 'value.replace(",", "")', 'value.replace(",", ".")', "unit/metrics/test_structure.py"),
    Break("similarity/normal_form.py", "for place in range(1, SIZE):  # grams", "for place in range(2, SIZE):  # grams", "unit/test_similarity.py"),
    Break("similarity/__init__.py", "np.lexsort((rows, -similarity))", "np.lexsort((rows, similarity))", "unit/test_similarity.py"),
    Break("audit/class_balance.py", "math.exp(-sum(", "math.exp(sum(", "unit/audit/test_class_balance.py"),
    Break("audit/sorted_by_label.py", "expected = (squares - n) / n", "expected = squares / n", "unit/audit/test_sorted_by_label.py"),
    Break("audit/conflicting_labels.py", "np.bincount(pairs[:, 0]) > 1", "np.bincount(pairs[:, 0]) > 2", "unit/audit/test_conflicting_labels.py"),
    Break("audit/copied_prompt.py", "len(target) < FEWEST_WORDS", "len(target) <= FEWEST_WORDS", "unit/audit/test_copied_prompt.py"),
    Break("audit/exact_duplicates.py", "for row in rows[1:]", "for row in rows", "unit/audit/test_exact_duplicates.py"),
    Break("split.py", "low), high)", "high), low)", "unit/test_split.py"),
    Break("split.py", 'keys.append(("own", own))', 'keys.append(("own", own[:1]))', "unit/test_split.py"),
    Break("augment.py", "held[example.label] < FEW_ROWS", "held[example.label] > FEW_ROWS", "unit/test_augment.py"),
    Break("augment.py", "request.share / (1 - request.share)", "request.share", "unit/test_augment.py"),
    Break("augment.py", 'seed_of("edit", request.seed, example.id, copy)', 'seed_of("edit", example.id, copy)', "unit/test_augment.py"),
    Break("prompting/halving.py", "rung.prompts * (len(rung.part) - seen)", "rung.prompts * len(rung.part)", "unit/prompting/test_search.py"),
    Break("prompting/picking.py", "draw = random.Random(seed)", "draw = random.Random(0)", "unit/prompting/test_prompting.py unit/prompting/test_strategies.py"),
    Break("prompting/strategies.py", "chosen = chosen[::-1]", "chosen = chosen[:]", "unit/prompting/test_strategies.py"),
    Break("planning/memory.py", "parameters - quantized\n", "parameters\n", "unit/planning/test_memory.py"),
    Break("planning/price.py", "hours.high * max(usd)", "hours.high * min(usd)", "unit/planning/test_plan.py"),
    Break("planning/time.py", "Estimate(middle, fast, slow,", "Estimate(middle, slow, fast,", "unit/planning/test_plan.py"),
    Break("tuning/loop.py", "state.labelled_tokens += labels", "state.labelled_tokens += len(rows)", "unit/tuning/test_loop.py"),
    Break("tuning/loop.py", "behind >= self.settings.patience", "behind > self.settings.patience", "unit/tuning/test_loop.py"),
    Break("tuning/state.py", "settings.learning_rate * (step + 1) / warmup", "settings.learning_rate * step / warmup", "unit/tuning/test_loop.py"),
    Break("tuning/state.py", "(-p.score, p.loss, p.step)", "(-p.score, p.step)", "unit/tuning/test_loop.py"),
    Break("tuning/noise.py", "torch.sqrt(tokens * width)", "torch.sqrt(tokens)", "unit/tuning/test_methods.py"),
    Break("tuning/methods.py", "weight_decay if value.ndim >= 2 else 0.0", "weight_decay", "unit/tuning/test_methods.py"),
    Break("tuning/overfitting.py", "last <= RISEN * lowest", "last < lowest", "unit/tuning/test_overfitting.py"),
    Break("tuning/faults.py", "min(last) > 10 * statistics", "max(last) > 10 * statistics", "unit/tuning/test_faults.py"),
    Break("evaluation/compare.py", "1 - (1 - confidence) / opening", "confidence", "unit/evaluation/test_compare.py"),
    Break("evaluation/compare.py", "result if rule.higher_is_better else result.mirrored()", "result", "unit/evaluation/test_compare.py"),
    Break("evaluation/by_slice.py", "low=-d.high, high=-d.low)", "low=-d.low, high=-d.high)", "unit/evaluation/test_by_slice.py"),
    Break("evaluation/retention.py", "before.low <= chance or", "before.low <= 0 or", "unit/evaluation/test_retention.py"),
    Break("evaluation/roi.py", "usd * scale - less", "usd * scale", "unit/evaluation/test_roi.py"),
    Break("gate.py", 'outcome: Outcome = "pass" if found.difference.low > edge', 'outcome: Outcome = "pass" if found.difference.value > edge', "unit/test_gate.py"),
    Break("gate.py", 'proven = "inconclusive" not in outcomes and any(', "proven = any(", "unit/test_gate.py"),
    Break("gate.py", "if found is not None and missing > UNMEASURED_LIMIT * rows", "if found is not None and missing > rows", "unit/test_gate.py"),
    Break("gate.py", "(half_width / distance) ** 2 - 1", "half_width / distance - 1", "unit/test_gate.py"),
    Break("gate.py", 'edge = rule.margin if rule.kind == "beats_baseline" else -rule.margin', "edge = rule.margin", "unit/test_gate.py"),
    Break("report/limits.py", "if len(evidence.openings) > 1", "if len(evidence.openings) > 2", "unit/report"),
    Break("report/svg.py", "low / step - 1e-9)", "low / step + 1)", "unit/report/test_svg.py"),
    Break("labelling/consensus.py", "2 * count > len(votes)", "2 * count >= len(votes)", "unit/labelling/test_consensus.py"),
    Break("labelling/consensus.py", "deciding[-1].value", "deciding[0].value", "unit/labelling/test_consensus.py"),
    Break("labelling/queues.py", "taught = [row for row in request.labelled if row not in request.held_out]", "taught = list(request.labelled)", "unit/labelling/test_queues.py"),
    Break("labelling/agreement.py", "if alpha.low >= RELIABLE", "if alpha.high >= RELIABLE", "unit/labelling/test_agreement_of_votes.py"),
    Break("workflow/subsets.py", "< share * 2**32", "< share * 2**31", "unit/workflow/test_subsets.py"),
    Break("workflow/recipe.py", "round(test / TEST_SHARE)", "round(test * TEST_SHARE)", "unit/evaluation/test_recipe_over_folds.py"),
    Break("workflow/yardstick.py", "yardstick.confidence, versions,", "yardstick.confidence,", "unit/workflow/test_yardstick.py"),
    Break("workflow/verify.py", "numbers[:1] != [stored.opening] or ", "", "unit/workflow/test_prove.py flows/test_evidence_for_others.py"),
    Break("cli/entry.py", 'elif word == "--set":', 'elif word == "--no-such":', "flows/test_cli.py"),
    Break("cli/progress.py", "/ (done - self._first) * (total - done)", "/ done * (total - done)", "unit/test_progress.py"),
    Break("scoring.py", "not_measured=len(examples) - len(texts)", "not_measured=0", "unit/test_scoring.py"),
    Break("pricing.py", 'and price.tier != "spot"', "", "unit/test_pricing.py"),
    Break("slices.py", "for group in sorted(named_groups(text), reverse=True)", "for group in sorted(named_groups(text))[:1]", "unit/test_slices.py"),
)
# fmt: on
