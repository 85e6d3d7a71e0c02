"""Write the packaged catalogue of instance types anew.

    python -m tests.tools.make_catalogue [FILE]

FILE is what `aws ec2 describe-instance-types --output json` prints; without
it, the list that moto carries (which is AWS's own) is read. Sorted, one type a
line, so that a change reads as a diff.
"""

import gzip
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from autoscaler.aws.instance_types import InstanceTypeFacts, to_row

TARGET = Path(__file__).resolve().parents[2] / "autoscaler" / "aws" / "catalogue.json"


def packaged_by_moto() -> list[dict[str, object]]:
    spec = find_spec("moto")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("moto is not installed; name a file instead")
    path = Path(spec.submodule_search_locations[0]) / "ec2" / "resources" / "instance_types.json.gz"
    return list(json.loads(gzip.decompress(path.read_bytes())).values())


def main() -> None:
    documents = json.loads(Path(sys.argv[1]).read_bytes())["InstanceTypes"] if sys.argv[1:] else packaged_by_moto()
    found = [InstanceTypeFacts.read(document) for document in documents]
    facts = sorted((each for each in found if each is not None), key=lambda each: each.name)
    lines = [f"{json.dumps(each.name)}: {json.dumps(to_row(each), separators=(',', ':'))}" for each in facts]
    TARGET.write_text('{"types": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{TARGET.name}: {len(facts)} types of {len(documents)}, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
