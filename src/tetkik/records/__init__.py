"""The database: patients, cases, images, reports, users and the audit trail. No other package has one.

What holds in every module, so that a docstring need not say it again:

- A function takes a `Transaction`: one of `Records.write` where it changes or audits anything.
- A value has the fields of its row; the columns of `records.schema` say what each of them means.
- `since` is the first moment that counts and `until` the first that does not; None leaves that end open.
- `NotFound`: there is no such row, or its patient was erased. `Forbidden`: the actor may not open the case.
- `CaseMoved`: the case was opened for the wrong patient and goes on as another one.
- `EditConflict`: somebody saved the draft after the given revision. `Conflict`: the report is signed and
  nobody is amending it, or something else stands against the change. `InputError`: what a person gave cannot
  be used. In each case nothing is written, and the message says what to do.
- `RecordsError`: what is stored is missing, cut short, altered, or sealed under another key.
- `OSError`: the disk is full or gone.

Where a caller has to handle more, or to tell reasons apart, the docstring names them.
"""
