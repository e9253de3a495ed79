"""The form with the editor."""

from django import forms
from tinymce.widgets import TinyMCE

EXAMPLE = """\
<h2>Field notes</h2>
<p>Everything around this text was loaded by one script, from paths that it <em>computed</em>: the
theme, the icons, the skin. No tool could have rewritten those, and none had to.</p>
<ul><li>The script's own URL is hashed.</li><li>What it asks for has plain names.</li>
<li>Both live in the <strong>same build</strong>.</li></ul>
"""


class NoteForm(forms.Form):
    title = forms.CharField(max_length=80, initial="Outcrop at the ford")
    body = forms.CharField(widget=TinyMCE, initial=EXAMPLE)
