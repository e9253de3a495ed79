from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.build.graph import groups

names = st.sampled_from("abcdefgh")
graphs = st.dictionaries(names, st.sets(names))


def order(dependencies):
    return list(groups(dependencies))


def reachable(dependencies, start):
    """All that ``start`` leads to, by one step at least."""
    actual, waiting = set(), [start]
    while waiting:
        for target in dependencies[waiting.pop()]:
            if target in dependencies and target not in actual:
                actual.add(target)
                waiting.append(target)
    return actual


def test_no_files_are_no_groups():
    assert order({}) == []


def test_files_that_do_not_refer_to_each_other_come_by_name():
    assert order({"b": [], "c": [], "a": []}) == [["a"], ["b"], ["c"]]


def test_a_file_comes_after_what_it_refers_to():
    assert order({"a": ["b"], "b": ["c"], "c": []}) == [["c"], ["b"], ["a"]]


def test_a_diamond_has_its_foot_first_and_its_head_last():
    dependencies = {"a": ["c", "b"], "b": ["d"], "c": ["d"], "d": []}
    assert order(dependencies) == [["d"], ["b"], ["c"], ["a"]]


def test_a_cycle_is_one_group_sorted():
    assert order({"c": ["a"], "a": ["b"], "b": ["c"]}) == [["a", "b", "c"]]


def test_two_cycles_with_a_file_in_common_are_one_group():
    assert order({"a": ["b"], "b": ["a", "c"], "c": ["b"]}) == [["a", "b", "c"]]


def test_a_cycle_comes_between_what_it_needs_and_what_needs_it():
    dependencies = {"app": ["x"], "x": ["y"], "y": ["x", "leaf"], "leaf": []}
    assert order(dependencies) == [["leaf"], ["x", "y"], ["app"]]


def test_two_cycles_of_which_one_refers_to_the_other_are_two_groups():
    dependencies = {"a": ["b", "c"], "b": ["a"], "c": ["d"], "d": ["c"]}
    assert order(dependencies) == [["c", "d"], ["a", "b"]]


def test_a_file_that_refers_to_itself_is_a_group_of_its_own():
    assert order({"a": ["a"], "b": ["a", "b"]}) == [["a"], ["b"]]


def test_what_is_no_key_is_no_part_of_the_graph():
    assert order({"a": ["image.png", "b"], "b": ["font.woff2"]}) == [["b"], ["a"]]


def test_a_chain_may_be_deeper_than_python_recurses():
    chain = {f"{number:05}": [f"{number + 1:05}"] for number in range(5000)}
    assert order(chain) == [[name] for name in sorted(chain, reverse=True)]


def test_a_cycle_may_be_longer_than_python_recurses():
    cycle = {f"{number:05}": [f"{(number + 1) % 5000:05}"] for number in range(5000)}
    assert order(cycle) == [sorted(cycle)]


@given(graphs)
def test_every_file_is_in_one_group(dependencies):
    listed = [name for group in groups(dependencies) for name in group]
    assert sorted(listed) == sorted(dependencies)


@given(graphs)
def test_each_group_comes_after_all_that_it_depends_on(dependencies):
    finished = set()
    for group in groups(dependencies):
        for name in group:
            needed = dependencies[name] & dependencies.keys()
            assert needed <= finished | set(group)
        finished.update(group)


@given(graphs)
def test_two_files_are_together_when_each_leads_to_the_other_and_only_then(dependencies):
    of = {name: tuple(group) for group in groups(dependencies) for name in group}
    leads_to = {name: reachable(dependencies, name) for name in dependencies}
    for first in dependencies:
        for other in dependencies:
            in_a_cycle = first == other or (other in leads_to[first] and first in leads_to[other])
            assert (of[first] == of[other]) is in_a_cycle


@given(graphs, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_the_graph_was_put_together(dependencies, random):
    shuffled = list(dependencies)
    random.shuffle(shuffled)
    again = {name: sorted(dependencies[name], key=lambda _: random.random()) for name in shuffled}
    assert order(again) == order(dependencies)


@given(graphs)
def test_a_group_is_sorted(dependencies):
    assert all(group == sorted(group) for group in groups(dependencies))
