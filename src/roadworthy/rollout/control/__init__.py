"""How a rollout is decided and moved: who may start, which rows count, what each signal may do, step by step."""
