"""Data in files, as people have them: tables, arrays, Hugging Face's folders."""
