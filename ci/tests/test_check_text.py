import pytest

import check_text


@pytest.mark.parametrize(
    "text",
    [
        "ask pip for its index\n",
        "https://github.com/private-octopus/picoquic\n",
        "/usr/bin/env /tmp/x /path/to/picoquic third_party/work/x\n",
        "Accept: application/vnd.pypi.simple.v1+json\n",
        "#define MAX_TODOS 3\n",
    ],
)
def test_passes(text):
    assert check_text.check_file("a.py", text) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("url = 'https://py" + "pi.org/simple'\n", "registry"),
        ("https://files.python" + "hosted.org/packages\n", "registry"),
        ("cd /ro" + "ot/project\n", "one machine"),
        ("see '/ho" + "me/someone/x'\n", "one machine"),
        ("# TO" + "DO: more\n", "undone"),
        ("\n" * 501, "501 lines"),
    ],
)
def test_fails(text, says):
    problems = check_text.check_file("a.py", text)
    assert len(problems) == 1
    assert says in problems[0]


def test_lengths_of_other_files_do_not_matter():
    assert check_text.check_file("docs/a.md", "\n" * 500) == []
