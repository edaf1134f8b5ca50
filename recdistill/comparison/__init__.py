"""Methods of distillation side by side: one student, one search for all, one teacher for each log.

- `recipes`: what is compared, by name: `default`, `alone`, `teacher_svd`, `shuffled`, every objective that
  `rd.distill(method=…)` takes, several with `+`.
- `space`, `search`: the same seeded trials of half length for each of them, on the first log and the first dimension.
- `teachers`: of each log the best on valid of several kinds and of their ensemble, and what it says.
- `cells`: one (log, method, dimension, seed) as a small file with its key; `comparing` fills a folder with them.
- `table`: from the files to means, spreads and differences that are beyond the spread.
"""
