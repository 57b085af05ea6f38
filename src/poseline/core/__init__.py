"""Pure NumPy core: types, skeletons, boxes, geometry, similarity, suppression, assignment. Imports nothing of ours."""
