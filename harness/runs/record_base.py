"""What every record of a run has in common, and what records share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.contract.episodes import EpisodeSpec

FORMAT: Literal[2] = 2


class Frozen(BaseModel):
    """A value that does not change, all of whose fields are known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FileRecord(Frozen):
    """A record with a file of its own."""

    format: Literal[2] = Field(FORMAT, description="of this file; raised when its fields change")


class EpisodesRecord(Frozen):
    """One kind of episodes, the same for every row of a table."""

    n_way: int = Field(description="classes an episode")
    k_shot: int = Field(description="support images a class")
    n_query: int = Field(description="query images a class; their mean number where they are unbalanced")
    dirichlet: float = Field(description="concentration of the class proportions among the queries; 0: balanced")
    least_way: int = Field(0, description="where way is drawn for each episode, from this to n_way; 0: it is n_way")
    least_shot: int = Field(0, description="where shot is drawn for each episode, from this to k_shot; 0: it is k_shot")
    target: Literal["closed", "open"] = Field(description="drawn with replacement of images, or no image twice")
    n: int = Field(description="how many episodes there are")
    fingerprint: str = Field(description="sha256 over the spec, the indices and the split's fingerprint")

    @property
    def spec(self) -> EpisodeSpec:
        return EpisodeSpec(self.n_way, self.k_shot, self.n_query, self.dirichlet, self.least_way, self.least_shot)
