"""What the operating system says of a file that cannot be written, as errors of the tree."""

import errno

from catalogue.errors import DiskFull, OutputNotWritable

_FULL = (errno.ENOSPC, errno.EDQUOT)


def not_writable(what: str, fault: OSError) -> OutputNotWritable | DiskFull:
    """Return the error of ``what`` could not be written: DiskFull where room was lacking."""
    kind = DiskFull if fault.errno in _FULL else OutputNotWritable
    name = errno.errorcode.get(fault.errno or 0, "unknown")
    return kind(f"{what}: {fault.strerror}.", errno=name)
