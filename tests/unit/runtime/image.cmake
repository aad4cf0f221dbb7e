foreach(name reference manifest)
    coracle_unit_test(test_image_${name} SOURCES image/test_${name}.c LINK image)
endforeach()
coracle_unit_test(test_image_extract SOURCES image/test_extract.c LINK image_archive)
