"""Images removed, put back and moved over HTTP and on the page of a case's images."""

from __future__ import annotations

from tests.records.kit import made_case, made_user
from tests.records.pictured import put
from tests.service.kit import served, sign_in
from tetkik.records.cases import cases
from tetkik.records.images import images
from tetkik.values import Role


def listed(app_context, case_id, *, removed=False):
    with app_context.records.read() as tx:
        return [image.id for image in images.list_images(tx, case_id, removed=removed)]


def test_an_image_is_removed_and_put_back_by_the_api(app_context):
    with served(app_context) as client:
        technician = sign_in(client, app_context, Role.TECHNICIAN)
        case_id = made_case(app_context.records, technician)
        image_id = put(app_context.records, technician, case_id, 1).image.id
        address = f"/api/v1/images/{image_id}/removal"
        assert client.post(address, json={"reason": "because"}).status_code == 422
        assert client.post(address, json={"reason": "duplicate"}).status_code == 200
        assert (listed(app_context, case_id), listed(app_context, case_id, removed=True)) == ([], [image_id])
        assert client.post(address, json={"reason": "duplicate"}).status_code == 409
        assert client.delete(address).status_code == 200 and listed(app_context, case_id) == [image_id]
        sign_in(client, app_context, Role.CLINICIAN)
        assert client.post(address, json={"reason": "duplicate"}).status_code == 403


def test_the_page_moves_an_image_by_the_number_of_the_case(app_context):
    with served(app_context) as client:
        technician = sign_in(client, app_context, Role.TECHNICIAN)
        case_id = made_case(app_context.records, technician)
        image_id = put(app_context.records, technician, case_id, 1).image.id
        desk = made_user(app_context.records, Role.RECEPTION)
        with app_context.records.write(desk) as tx:
            case = cases.load_case(tx, case_id)
            other = cases.open_case(tx, case.patient_id)
            number = cases.load_case(tx, other).number
        page = f"/cases/{case_id}/images"
        sent = {"reason": "wrong_case", "csrf": client.headers["X-CSRF-Token"]}
        unknown = client.post(f"{page}/{image_id}/remove", data=sent | {"number": "1999-000001"})
        assert "1999-000001" in unknown.text and listed(app_context, case_id) == [image_id]
        answer = client.post(f"{page}/{image_id}/remove", data=sent | {"number": f" {number} "})
        assert answer.status_code == 409  # the file names another patient than the record
        assert listed(app_context, other) == [] and 'name="sure"' in answer.text
        answer = client.post(f"{page}/{image_id}/remove", data=sent | {"number": number, "sure": "1"})
        assert answer.status_code == 303 and len(listed(app_context, other)) == 1
        assert image_id in client.get(page).text
        assert client.post(f"{page}/{image_id}/restore", data=sent).status_code == 303
        assert (listed(app_context, other), listed(app_context, case_id)) == ([], [image_id])
