"""What a column can be: one file a kind.

A new kind is a file with a subclass of `kind.Kind`, and a line here.
"""

# In the order in which they are tried on a column whose kind was not said.
COLUMN_KINDS = {
    "yes/no": "pipeline.data.tables.kinds.yes_no:YesNo",
    "identifier": "pipeline.data.tables.kinds.identifier:Identifier",
    "number": "pipeline.data.tables.kinds.number:Number",
    "date": "pipeline.data.tables.kinds.date:Date",
    "text": "pipeline.data.tables.kinds.text:Text",
    "category": "pipeline.data.tables.kinds.category:Category",
}
# Columns of these kinds are read from a file of text as they stand: 00501 is no number.
READ_AS_TEXT = ("category", "text")
