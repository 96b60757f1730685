"""What setup.cfg cannot say: the installed package carries protocol/, from which the independent reader decodes."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithProtocol(build_py):
    """Copies protocol/ into the package; a checkout has it beside the package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "wirechat" / "protocol"
            shutil.copytree("protocol", target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("releases"))


setup(cmdclass={"build_py": BuildWithProtocol})
