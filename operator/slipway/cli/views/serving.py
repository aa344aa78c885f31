"""Where clients send requests, how many replicas answer them, and what is to be known of them."""

from slipway.cli.objects import ModelDeployment, Optimized, Replicas, Scaling
from slipway.cli.text import Screen, make_line, wrap_lines

INDENT = 11


def format_serving(md: ModelDeployment, width: int) -> Screen:
    """Return addresses, which are not cut, replicas, signers, conversions and warnings."""
    rows = [
        make_line("  clients".ljust(INDENT) if number == 0 else " " * INDENT, text)
        for number, text in enumerate(_client_addresses(md))
    ]
    for number, text in enumerate(_replica_counts(md)):
        rows += wrap_lines(text, width, indent=INDENT, first="" if number else "  scaling")
    for number, text in enumerate(_signatures(md)):
        rows += wrap_lines(text, width, indent=INDENT, first="" if number else "  signed")
    for number, text in enumerate(_conversions(md)):
        rows += wrap_lines(text, width, indent=INDENT, first="" if number else "  numbers")
    for number, text in enumerate(_warnings(md)):
        rows += wrap_lines(text, width, indent=INDENT, first="" if number else "  warnings")
    return tuple(rows)


def _signatures(md: ModelDeployment) -> list[str]:
    """Return who signed the files of each revision, and the digests of the first files."""
    lines = []
    for role, found in (("stable", md.stable), ("candidate", md.candidate)):
        signed = found.signed if found is not None else None
        if found is None or signed is None:
            continue
        files = f"{signed.count} file" + ("" if signed.count == 1 else "s")
        lines.append(f"{role} {found.version}: {files} by {signed.signer}, {signed.key}")
        lines += [f"{file.name} {file.digest}" for file in signed.files]
        more = signed.count - len(signed.files)
        lines += [f"and {more} more, in the image's annotations"] if more > 0 else []
    return lines


def _conversions(md: ModelDeployment) -> list[str]:
    """Return what each revision's model was converted to, and what that gave."""
    lines = []
    for role, found in (("stable", md.stable), ("candidate", md.candidate)):
        if found is not None and found.optimized is not None:
            lines.append(f"{role} {found.version}: {_describe_conversion(found.optimized)}")
            lines += found.optimized.notes
    return lines


def _warnings(md: ModelDeployment) -> list[str]:
    """Return what was changed or left out when each revision was packaged."""
    return [
        f"{role} {found.version}: {warning}"
        for role, found in (("stable", md.stable), ("candidate", md.candidate))
        if found is not None
        for warning in found.warnings
    ]


def _describe_conversion(optimized: Optimized) -> str:
    text = f"{optimized.precision}, {optimized.bytes:,} bytes instead of {optimized.bytes_before:,}"
    if optimized.bytes_before:
        text += f" ({optimized.bytes / optimized.bytes_before:.0%})"
    before, after = optimized.cpu_milliseconds_before, optimized.cpu_milliseconds
    if before is None or not after:
        return text
    return (
        f"{text}, {after:.4g} ms of one core instead of {before:.4g}: {before / after:.2g} times "
        "the requests per core"
    )


def _client_addresses(md: ModelDeployment) -> list[str]:
    formats = {
        "http": "{}",
        "grpc": "{} (gRPC)",
        "candidate": "candidate only: {}",
        "preview": "preview: {}",
    }
    others = [kind for kind in md.endpoints if kind not in formats]
    return [
        formats.get(kind, "{}").format(md.endpoints[kind])
        for kind in (*formats, *others)
        if kind in md.endpoints
    ]


def _replica_counts(md: ModelDeployment) -> list[str]:
    """Return what the engine says of each revision; where none does, what the spec asks for."""
    scaled = [
        f"{role} {found.version}: {_describe_scaling(found.scaling)}"
        for role, found in (("stable", md.stable), ("candidate", md.candidate))
        if found is not None and found.scaling is not None
    ]
    return scaled or [_describe_spec(md.replicas)]


def _describe_scaling(scaling: Scaling) -> str:
    """Return desired, current and why: signal, value, target, and what limits the number."""
    text = f"{scaling.current} of {scaling.desired} replicas"
    if scaling.signal and scaling.value is not None and scaling.target is not None:
        text += f", {scaling.signal} {scaling.value:.4g}, target {scaling.target:.4g} per replica"
    text += f", limited by {scaling.bound_by}" if scaling.bound_by else ""
    return text + (f": {scaling.message}" if scaling.message else "")


def _describe_spec(spec: Replicas) -> str:
    least, most = spec.min_replicas, max(1, spec.max_replicas or 0)
    if spec.engine == "None":
        return f"{_count_replicas(spec.replicas or least)}, scaled externally (engine None)"
    if most > least:
        return f"{least} to {_count_replicas(most)}, engine {spec.engine}"
    return f"{_count_replicas(least)} at full traffic, fixed by the spec"


def _count_replicas(number: int) -> str:
    return f"{number} replica" + ("" if number == 1 else "s")
