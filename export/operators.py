"""Which operators a flatbuffer needs, each with its highest version: what a runtime has to know to run it."""

from __future__ import annotations

from typing import Any


def operators(flatbuffer: bytes) -> dict[str, int]:
    """Operator names with their versions, in alphabetical order."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model: Any = schema.Model.GetRootAs(flatbuffer, 0)
    found: dict[str, int] = {}
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = names.get(number, str(number))
        found[name] = max(found.get(name, 0), code.Version())
    return dict(sorted(found.items()))
