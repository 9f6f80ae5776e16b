"""Read studies from, and write crowds to, the formats that people already use: one file per format.

READERS holds what can come in: `crowdllm.exchange.importing` finds the right one by name or by looking at the files.
Each entry is a `crowdllm.exchange.protocol.Reader`.
"""

from __future__ import annotations

READERS: dict[str, str] = {
    "labelstudio": "crowdllm.exchange.read_labelstudio:READER",
    "mturk": "crowdllm.exchange.read_mturk:READER",
    "prolific": "crowdllm.exchange.read_prolific:READER",
    "crowdkit": "crowdllm.exchange.read_crowdkit:READER",
    "pabulib": "crowdllm.exchange.read_pabulib:READER",
    "huggingface": "crowdllm.exchange.read_hf_dataset:READER",
    "qualtrics": "crowdllm.exchange.read_qualtrics:READER",
    "limesurvey": "crowdllm.exchange.read_limesurvey:READER",
    "xlsform": "crowdllm.exchange.read_xlsform:READER",
    "spss": "crowdllm.exchange.read_spss:READER",
    "stata": "crowdllm.exchange.read_stata:READER",
    "excel": "crowdllm.exchange.read_excel:READER",
    "csv": "crowdllm.exchange.read_csv:READER",
}

WRITERS: dict[str, str] = {
    "csv": "crowdllm.exchange.write_csv:WRITER",
    "parquet": "crowdllm.exchange.write_parquet:WRITER",
    "excel": "crowdllm.exchange.write_excel:WRITER",
    "spss": "crowdllm.exchange.write_statistics:WRITER_SPSS",
    "stata": "crowdllm.exchange.write_statistics:WRITER_STATA",
    "crowdkit": "crowdllm.exchange.write_crowdkit:WRITER",
    "pabulib": "crowdllm.exchange.write_pabulib:WRITER",
    "labelstudio": "crowdllm.exchange.write_label_studio:WRITER",
    "simbench": "crowdllm.exchange.write_simbench:WRITER",
}
"""What can go out, each a `crowdllm.exchange.export_protocol.Writer`; `crowdllm.exchange.exporting` finds them."""
