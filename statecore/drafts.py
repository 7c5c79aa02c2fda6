"""Building frozen values field by field, at the speed of an ordinary assignment.

A frozen attrs class refuses assignments, so its own way to make a value is a call of `object.__setattr__` a field. That is
most of the cost of a step, and of reading a row. A *draft* is an instance of a subclass that differs in nothing but that
it can be written to: it has the same slots, so once the fields are set it is made an instance of the frozen class itself.
"""

import attrs


def draft_of(cls: type) -> type | None:
    """Return the class whose instances become values of *cls*, or None where making one takes more than setting its fields.

    More are validators, converters, fields that are not given, anything before or after the initialiser or instead of it,
    a cached hash, and a dictionary beside the slots.
    """
    fields = attrs.fields(cls)
    plain = all(field.converter is None and field.validator is None and field.init for field in fields)
    hooks = ("__attrs_init__", "__attrs_pre_init__", "__attrs_post_init__", "_attrs_cached_hash")
    more = cls.__dictoffset__ or any("__new__" in vars(base) for base in cls.__mro__[:-1])
    if not plain or more or any(hasattr(cls, hook) for hook in hooks):
        return None
    writing = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}  # they share one slot of the type
    return type(f"Draft{cls.__name__}", (cls,), {"__slots__": (), **writing})
