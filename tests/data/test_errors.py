from mlmath.data.errors import unknown


def test_the_nearest_name_is_suggested_whatever_its_case():
    assert str(unknown("column", "AGGE", ["sex", "Age"])) == (
        "there is no column 'AGGE'; did you mean 'Age'?"
    )


def test_without_a_near_name_the_known_ones_are_listed():
    message = str(unknown("column", "zzz", [f"c{k}" for k in range(20)]))
    assert message.startswith("there is no column 'zzz'; there are c0, c1,")
    assert message.endswith("c11, ….")
