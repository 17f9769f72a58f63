"""The benchmarks' own marking rules, one file each.

A rule reads the raw text of an answer as the reference does: the task code of lmms-eval 0.3, from
which the AbilityLens script was forked. ``tests/peers`` marks thousands of generated answers a
source with that code and with these rules. A preset that is to be comparable with published
figures uses the metrics named after the benchmarks; the default presets use lens-ray's own
extraction or, where the rule is no matter of extraction, its mended form.

=============== =================== ==============================================================
published       default presets     what the published rule does that the other does not
=============== =================== ==============================================================
``mme``         ``yes_no_pairs``    only the first four characters count: "The answer is yes" is
                                    wrong, "nothing" and "not sure" are "no"
``seed_bench``  ``exact``           the first character is the letter: "Because it is red" is B
``mirb``        ``numeric``         any number of the text may be the right one; "12" is in "112"
                                    where the accepted answer is no number
``mmstar``      ``exact``           the first character is the letter, so "A dog" is A; few openings
                                    are known
``muirbench``   ``exact``           anything beside the letter, but "B. text", is wrong: "(B)"
``ocrbench``    ``contains``        a capital in a handwritten expression (HME100k) is never found,
                                    because the text alone is lower-cased
``synthdog``    ``nted``            the text alone is lower-cased and the keys of the trees differ,
                                    so that a perfect answer has less than 1
``mmbench``     ``all_right``       "E" is a letter with four options; an option text counts within
                                    a word; "nan" stands for a missing option
``chartqa``     ``relaxed_numeric`` a final point or a unit makes a number wrong; "45%" is 0.45 only
``ai2d``        ``exact``           anything beside the letter, but "B. text", is wrong: "B " too
``conbench``    ``triples_right``   as ``mme`` and ``seed_bench``; line breaks are dropped, which
                                    joins words
=============== =================== ==============================================================

lmms-eval 0.7.3 has other rules for two of them: ``mmstar_ranked`` is its rule for MMStar, and
``contains`` the one for OCRBench (read behind any ``</think>``). The other nine are as they were.

Where we deviate from the reference on purpose, under the published names too:

* MMBench: what neither rule reads goes to GPT there, and to a seeded random letter after three
  failures. Here it is ``unparsed`` and wrong: a judge and a draw are not the model's answer.
* MMBench: a question whose rotations are not all there is marked by the ones present there. Here
  incomplete groups do not count (`lens_ray.stats.units`): a lone row is not a circular question.
* ConBench: an empty answer to a choice ends the run there (IndexError). Here it is unparsed.
* ConBench: the number of rows, divided by three, is the denominator there. Here complete triples
  are.
* SynthDoG: an empty accepted text ends the run there (division by zero). Here the answer is wrong.
* SynthDoG: the sum over the pages is reported there. Here their mean.
* OCRBench: hits are added up over all runs of a process and divided by 1000 there. Here a run's
  hits are divided by its samples.
* MIRB: only the group Counting is reported there, whatever was selected. Here what was kept.
* MME: a category is 0 to 200 and categories are added there. Here a category is the middle of acc
  and acc+ (that over 200), and categories are subtasks of an ability.
* MMStar: second-level categories are averaged without weights there. Here they are subtasks, with
  the suite's weights beside the uniform figure.
* All: an answer that the provider's content filter stopped is ``refused``, whatever its text.
* MIRB: numbers are found by patterns that take time linear in the text and find the same.
"""
