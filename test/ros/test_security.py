"""The SROS 2 policy: what the node really does on the graph, and nothing else."""

from pathlib import Path
import time
import xml.etree.ElementTree as ET

from fake_estimator import FakeEstimator
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_bench import camera_info, depth_image, wait_until
from ros_rig import ends_well, FAKE_NODE, PATIENCE

AUDITED_NODE = FAKE_NODE.with_name('audited_node.py')
POLICY = Path(__file__).resolve().parents[2] / 'config' / 'sros2_policy.xml'
KINDS = {
    ('topics', 'publish'): 'get_publisher_names_and_types_by_node',
    ('topics', 'subscribe'): 'get_subscriber_names_and_types_by_node',
    ('services', 'reply'): 'get_service_names_and_types_by_node',
    ('services', 'request'): 'get_client_names_and_types_by_node',
}
# Each of these parameters adds subscriptions.
WAYS = (
    {'reference': 'point', 'output_frame': 'map', 'use_sim_time': True},
    {'reference': 'region'},
)


def expanded(name):
    return name.replace('~', '/v2v_pose') if name.startswith('~') else f'/{name}'


def permissions():
    """Return what the policy allows: names by kind of list and rule."""
    (profile,) = ET.parse(POLICY).getroot().iterfind('./enclaves/enclave/profiles/profile')
    assert profile.attrib == {'ns': '/', 'node': 'v2v_pose'}
    allowed = {kind: set() for kind in KINDS}
    for block in profile:
        ((rule, verdict),) = block.attrib.items()
        assert verdict == 'ALLOW'
        allowed[block.tag, rule] |= {expanded(entry.text) for entry in block}
    return allowed


def test_the_file_has_the_form_that_sros2_reads():
    """As sros2's policy.xsd, version 0.2.0, has it."""
    root = ET.parse(POLICY).getroot()
    assert (root.tag, root.attrib) == ('policy', {'version': '0.2.0'})
    assert [each.tag for each in root] == ['enclaves']
    (enclave,) = root[0]
    assert (enclave.tag, enclave.attrib) == ('enclave', {'path': '/v2v_pose'})
    assert [each.tag for each in enclave] == ['profiles']
    for block in enclave[0][0]:
        (rule,) = block.attrib
        assert (block.tag, rule) in KINDS
        assert len(block) > 0
        assert {each.tag for each in block} == {block.tag.removesuffix('s')}
        names = [each.text for each in block]
        assert len(set(names)) == len(names)
        assert all(name == name.strip() and not name.startswith('/') for name in names)


@pytest.mark.parametrize('parameters', WAYS, ids=['point', 'region'])
def test_all_that_the_node_does_is_allowed(bench, parameters):
    bench.start(FakeEstimator, (), **parameters)
    allowed = permissions()
    for kind, question in KINDS.items():
        ask = getattr(bench.camera, question)
        wait_until(lambda ask=ask, kind=kind: ask('v2v_pose', '/') or not allowed[kind], question)
        names = {name for name, _ in ask('v2v_pose', '/')}
        assert names <= allowed[kind], f'{kind} lacks {names - allowed[kind]}'


def test_nothing_is_allowed_that_the_node_never_does(bench):
    bench.start(FakeEstimator, (), **{**WAYS[0], **WAYS[1]})
    done = {kind: set() for kind in KINDS}

    def unused():
        for kind, question in KINDS.items():
            found = getattr(bench.camera, question)('v2v_pose', '/')
            done[kind] |= {name for name, _ in found}
        return {kind: names - done[kind] for kind, names in permissions().items()}

    # The other way of saying where the subject is was tested above.
    rest = {('topics', 'subscribe'): {'/v2v_pose/reference_point'}}
    wait_until(
        lambda: {kind: names for kind, names in unused().items() if names} == rest,
        'everything that is allowed',
    )


def test_what_an_audited_node_does_is_told(rig):
    rig.start(script=AUDITED_NODE, AUDITED_DEEDS='yes')
    events = ('socket.__new__', 'subprocess.Popen', 'pickle.find_class', 'compile', 'open')
    wait_until(lambda: all(f'audit: {event}\n' in rig.output() for event in events), 'the deeds')


def test_no_input_makes_the_node_connect_run_evaluate_or_write(rig):
    """Texts that are code or paths elsewhere, wherever an input has a text."""
    process = rig.start(script=AUDITED_NODE)
    wait_until(lambda: rig.images.get_subscription_count() > 0, 'the image subscription')
    client = rig.client(SetParameters, 'set_parameters')
    texts = ['../../../tmp/escaped', '/tmp/escaped', '__import__("os").system("true")', '$(true)']
    names = ['model', 'subject', 'output_frame', 'reference_frame', 'runtime', *texts]
    for text in texts:
        info = camera_info()
        info.distortion_model, info.header.frame_id = text, text
        rig.show(depth_image(encoding=text))
        rig.show(info=info)
        named = depth_image()
        named.header.frame_id = text
        rig.show(named)
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text)
        changes = [Parameter(name=name, value=value) for name in names]
        future = client.call_async(SetParameters.Request(parameters=changes))
        wait_until(future.done, 'the answer')
        assert not any(result.successful for result in future.result().results)
    assert rig.sees()
    assert 'audit:' not in rig.output()
    assert ends_well(rig, process)


def test_loading_and_running_the_shipped_network_connects_to_nobody(rig):
    """Libraries do: OpenVINO's telemetry tells the world of every import."""
    process = rig.start(script=AUDITED_NODE, AUDITED_NETWORK='yes')
    deadline = time.monotonic() + PATIENCE
    while not rig.skeletons and time.monotonic() < deadline:
        rig.show()
        time.sleep(0.1)
    assert rig.skeletons, rig.output()
    assert 'audit:' not in rig.output()
    assert ends_well(rig, process)
