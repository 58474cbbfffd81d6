"""What `form detect` finds on photos of real forms, against their blank: ``python -m bench.found``.

The boxes of the blank, all of which were found and looked at, are placed on the straightened photo
by the draft that was made of it. The photos are those of the data folder; the lower halves of them
are made unreadable there and do not count.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.drafts import rectangles, shared
from bench.material import data_folder
from inkmill.forms.intake import Page
from inkmill.forms.locate.registration import locate
from inkmill.forms.make.detecting import detect_form
from inkmill.forms.make.finding.boxes import find_rows
from inkmill.forms.make.finding.straightening import sized, straightened

_BLANK, _PHOTOS = "presidential_blank.png", ("presidential_3.jpg", "presidential_4.jpg")
#: The part of a photo's height that counts.
_READABLE = 0.5
#: Boxes are the same if they share more than this part of both of them.
_SAME = 0.6


def main() -> None:
    folder = data_folder() / "forms/plano_photos"

    def picture(name: str) -> NDArray[np.uint8]:
        return np.asarray(cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE), np.uint8)

    form = detect_form([[Page(picture(_BLANK))]], "presidential").form
    for name in _PHOTOS:
        page = straightened(sized(picture(name)))
        limit = _READABLE * page.shape[0]
        true = rectangles(form, locate(Page(page), form).transform)
        found = np.vstack([row.boxes for row in find_rows(page) if not row.text])
        found = np.hstack([found[:, :2], found[:, :2] + found[:, 2:]])
        true, found = (each[each[:, 3] < limit] for each in (true, found))
        same = shared(true, found) > _SAME
        print(
            f"{name}: {int(same.any(1).sum())} of {len(true)} boxes, "
            f"{int((~same.any(0)).sum())} false"
        )


if __name__ == "__main__":
    main()
