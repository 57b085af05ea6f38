"""What every section of params.yaml shares: frozen, unknown keys are errors, numbers are finite."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
