"""harness/cli/cite.py and harness/contract/citations.py: BibTeX of what stands in a table."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from harness.catalogue.catalogue import Catalogue
from harness.cli.main import main
from harness.common.errors import PluginError
from harness.contract.citations import Citation, citations

FIELDS = ("key1", "Snell, Jake and Swersky, Kevin", "A title", 2017, "A conference")


def test_the_methods_datasets_and_backbones_of_a_table_are_cited_once_each(runs, capsys):
    bench = runs(seeds=(0, 1)).add("rfs/simple", backbone="conv4-gap").add("protonet").add("mine/x")
    bench.add("pixels", floor=True, backbone=None).save()
    assert main(["cite", str(bench.output)]) == 0
    captured = capsys.readouterr()
    keys = re.findall(r"^@\w+{([^,]+),$", captured.out, re.M)
    assert len(keys) == len(set(keys))
    assert {"fsl-harness", "tian2020rethinking", "snell2017prototypical", "bertinetto2019meta"} <= set(keys)
    assert "% method rfs, backbone conv4-gap" in captured.out
    assert captured.err == "no entry is known of: method mine\n"


@pytest.mark.skipif(shutil.which("bibtex") is None, reason="bibtex is not installed")
def test_bibtex_reads_every_entry_of_what_is_installed_without_a_warning(tmp_path):
    catalogue = Catalogue.discover()
    kinds = (catalogue.methods, catalogue.datasets, catalogue.backbones, catalogue.classifiers)
    every = {citation for specs in kinds for spec in specs.values() for citation in citations(spec)}
    assert len(every) > 25
    by_key: dict[str, Citation] = {}
    for citation in every:
        assert by_key.setdefault(citation.key, citation) == citation
    (tmp_path / "all.bib").write_text("\n".join(map(Citation.bibtex, every)), encoding="utf-8")
    (tmp_path / "all.aux").write_text("\\citation{*}\n\\bibstyle{plain}\n\\bibdata{all}\n")
    done = subprocess.run(["bibtex", "all"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "Warning" not in done.stdout, done.stdout


def test_every_method_with_a_paper_and_every_published_dataset_has_a_citation():
    catalogue = Catalogue.discover()
    assert [method.name for method in catalogue.methods.values() if method.paper and not citations(method)] == []
    without = [dataset.name for dataset in catalogue.datasets.values() if not citations(dataset)]
    assert without == ["glyphs", "folder"]


def test_special_characters_are_escaped_and_accents_are_commands():
    text = Citation("k", "Hu, Stéphane", "R&D at 5 %", 2020, "A_B").bibtex()
    assert "St{\\'e}phane" in text
    assert "{{R\\&D at 5 \\%}}" in text
    assert "A\\_B" in text


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, "a key", "the key 'a key'"),
        (1, "Jake Snell", "is not written 'Surname, Given names'"),
        (1, "Snell, Jake et al.", "is not written"),
        (2, "", "title must be a line of text"),
        (2, "a } title {", "braces of title do not match"),
        (3, "2017", "is no year"),
        (4, "two\nlines", "where must be a line of text"),
    ],
)
def test_a_field_that_cannot_be_one_is_refused_in_one_line(at, value, words):
    fields = [*FIELDS]
    fields[at] = value
    with pytest.raises(PluginError, match=words) as caught:
        Citation(*fields)
    assert len(str(caught.value).splitlines()) == 1
